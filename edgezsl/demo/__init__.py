"""The model at work on real photographs before a virtual camera. Import its modules by name."""
