"""Golden runs, trials and what they did; engines that run them."""
