"""Face anonymization by reverse personalization (arXiv:2512.22984): pure torch, two hosts at the edge."""
