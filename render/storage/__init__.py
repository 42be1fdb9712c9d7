"""Storage between renders: tiles of samples, reference runs, and the numerics that the last bits of both depend on."""
