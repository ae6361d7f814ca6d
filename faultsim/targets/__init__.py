"""What can be struck, one file a kind: where its words are, and how a fault reaches them."""
