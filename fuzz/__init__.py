"""Coverage-guided fuzzing of quorumkey_attestation: ``python -m fuzz.attestation --help``."""
