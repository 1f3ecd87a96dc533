"""The test kit; nothing else in Kron imports it."""
