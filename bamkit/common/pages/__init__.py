"""Pages and figures: one HTML file without network, SVG, PDF and PNG."""
