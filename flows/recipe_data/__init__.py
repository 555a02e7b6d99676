"""Programs that make the data of recipes: a recipe's ``prepare`` names them, and ``flows.recipe`` runs them."""
