"""How well a model recognises what labelled recordings say was done, streamed as a live source is."""
