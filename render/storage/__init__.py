"""What is kept between renders: tiles of samples, reference runs, and what the last bits of both depend on."""
