"""What DynAE and its relatives share: augmentation, interpolation with a critic, conflicts and their thresholds."""
