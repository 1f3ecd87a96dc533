"""`python -m kron` is `kron`."""

from kron.cli.main import main

if __name__ == "__main__":
    main()
