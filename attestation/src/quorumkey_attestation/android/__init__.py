"""Android hardware key attestation: the chain, the KeyDescription in its leaf, and a policy for it.

:mod:`.key_description` parses and judges nothing, :mod:`.chain` walks from leaf to root,
:mod:`.verification` does both and applies a policy; :mod:`.revocation` holds Google's list as a
value and :mod:`.fetch`, which nothing else here needs, gets it.
"""
