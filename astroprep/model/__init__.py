"""The compact cyclic network: its shape, its training, its calibration and its evaluation."""
