"""A run as a page that translates in the browser: the page, its networks, and onnxruntime-web from npm."""
