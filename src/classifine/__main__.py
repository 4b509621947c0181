"""`python -m classifine`, the same as the command `classifine`."""

from classifine.cli import main

if __name__ == "__main__":
    main()
