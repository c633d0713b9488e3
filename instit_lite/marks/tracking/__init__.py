"""Finding what moves. In: the small frames of one clip. Out: masks, one number per moving thing.

`camera` takes the camera's own drift out, `ground` learns the still background and cuts out what differs from
it, `blobs` follows the pieces and decides which are the same thing, `layers` shares out pieces in which
things overlap. File formats, mark ids and full-size masks are `tracker`'s.
"""
