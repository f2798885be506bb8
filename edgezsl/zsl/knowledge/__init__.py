"""Knowledge graphs: the classifier row of a class, predicted from what the class is joined to."""
