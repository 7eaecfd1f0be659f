"""Protected methods: the gate in front of a call, its approval, its one execution."""
