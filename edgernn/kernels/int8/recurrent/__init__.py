"""Integer RNN, GRU and LSTM cells, and updates of 32-bit states."""
