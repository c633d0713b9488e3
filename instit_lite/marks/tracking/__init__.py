"""Finding what moves, in four steps. In: the frames of one clip. Out: labels, one number per moving thing
and pixel.

`camera` takes the camera's own drift out, `ground` learns the still background and cuts out what differs
from it, `blobs` follows the pieces and decides which are the same thing, `layers` shares out pieces in which
things overlap. The whole works on small frames; it refuses to know file formats, mark ids and full-size
masks, which are `tracker`'s.
"""
