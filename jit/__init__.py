"""The accelerator: guests at native speed, under LDT segments, on x86-64 Linux."""
