"""What the relay shows to browsers: pages for people, as files of the package."""
