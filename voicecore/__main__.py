"""`python -m voicecore`: the same entry point as the `voicecore` command."""

from voicecore.cli.app import main

if __name__ == "__main__":
    main()
