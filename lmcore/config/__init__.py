"""Settings of the library, one module per section. No class has default values, and importing them is cheap."""
