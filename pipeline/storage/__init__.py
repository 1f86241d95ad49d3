"""Object stores in a local folder or a bucket, and the catalogs and leases built on them."""
