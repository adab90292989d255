"""What people touch: the command line, and the supervisor that keeps a whole system running."""
