"""What can be declared of a stream, a section of its file each."""
