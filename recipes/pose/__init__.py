"""Human poses: 32 joints in the plane, step by step."""
