"""Orders, their states and ids; exits; positions folded from fills."""
