"""Files, audio, images and speech: the life of a job, from what came in to what was billed."""
