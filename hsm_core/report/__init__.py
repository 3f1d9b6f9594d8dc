"""Reports: what people and scripts are told about sweeps, read from their files while they run and afterwards."""
