"""Set-of-Marks: from footage to frames on which every instance carries its number.

In: a video, an image or a folder of frames, and masks or boxes that say where the instances are.
Out: a `Clip`, `supervision.Detections` per frame whose `tracker_id` is the mark id, and marked
frames. This room knows where things are and what number they bear; it refuses to know what they
are called, what is said of them, or any model.

`reader` reads clips, `instances` reads masks and boxes, `tracker` finds moving things without
either, `placement` and `draw` put the marks on.
"""
