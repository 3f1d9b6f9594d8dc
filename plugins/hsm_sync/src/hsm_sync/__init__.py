"""The project's copies on other machines: compared with the one here before they are used, and brought up to date."""
