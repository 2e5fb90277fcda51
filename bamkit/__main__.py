"""`python -m bamkit` is `bamkit`; under torchrun it is the way to start every rank."""

from bamkit.cli import main

if __name__ == "__main__":
    main()
