"""The five services. They share contracts and the runtime, and know nothing of one another."""
