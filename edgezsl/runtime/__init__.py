"""What a board runs: sources, engines, the recognizer, the stream and its sinks. Importing it imports nothing else."""
