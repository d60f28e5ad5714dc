"""Recipe in, bits per byte out.

Letters in tensor names, everywhere in this package: B batch, T tokens, S tokens with those carried in front, D model
width, H heads, K key width of a head, V value width of a head, W window, O n-gram orders.
"""
