"""What several tests share: tiny models and graphs, bundles, a fake GPU."""
