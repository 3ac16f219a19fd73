"""How well a model recognizes what labelled recordings say was done, streamed as a live source is."""
