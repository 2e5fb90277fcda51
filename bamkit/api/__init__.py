"""The Python API behind `import bamkit`: the commands' verbs and options as methods and keywords."""
