"""Evidence for tests: a complete test PKI, and every refusal this package promises, by number.

Everything follows from one published seed, so the same bytes come out everywhere; nothing that is
signed here proves anything to a verifier that was not told to accept test roots.
"""
