"""Objects by key, in a folder or a bucket, with catalogs and leases on them."""
