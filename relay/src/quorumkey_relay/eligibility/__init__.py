"""Who may activate which role: read from role bindings, wherever those are kept."""
