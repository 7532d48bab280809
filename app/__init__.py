"""What people touch: the command line now; HTTP routes, auth, page and report later."""
