"""The skill library, its loader, and the tools that load a skill on demand."""
