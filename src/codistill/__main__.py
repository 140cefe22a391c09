"""python -m codistill"""

from codistill.cli import main

if __name__ == "__main__":
    main()
