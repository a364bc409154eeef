"""MATLAB 5 files from the web, read within bounds: numbers, texts, cells and structures."""
