"""``--dev``: the same tree in development. The parent watches the files and replaces its one worker, which shows errors to the browser."""
