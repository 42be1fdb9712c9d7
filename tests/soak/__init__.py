"""What must survive for a long time or many times over. `make soak` runs all of it; the tests run short versions."""
