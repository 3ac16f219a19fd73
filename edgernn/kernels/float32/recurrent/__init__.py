"""Float RNN, GRU and LSTM cells."""
