"""Trains a small normalised network on scikit-learn's digits, saves it, and reads it back.

python examples/train_digits.py [model.safetensors]
"""

import sys

import martlet
from martlet import SGD, BatchNorm, Dense, Sequential, Sigmoid, Trainer, data

digits = data.digits()
net = Sequential(
    [Dense(64), BatchNorm(), Sigmoid(), Dense(64), BatchNorm(), Sigmoid(), Dense(10)],
    input_shape=(64,),
    seed=1,
)
print(net.summary())

trainer = Trainer(net, loss="cross_entropy", optimizer=SGD(learning_rate=0.5, momentum=0.9))
history = trainer.fit(
    digits.train_x,
    digits.train_y,
    epochs=15,
    batch_size=60,
    validation_data=(digits.test_x, digits.test_y),
    drop_last=True,
    progress=True,
)
print(f"test accuracy after each epoch: {', '.join(f'{accuracy:.3f}' for accuracy in history.validation_accuracy)}")

# Serving: weights rounded to half precision are half the memory to read for each row.
exact = net(digits.test_x)
net.inference_weights = "float16"
rounded = net(digits.test_x)
print(
    f"weights in 16 bits: logits differ by {abs(rounded - exact).max():.1e} at most, "
    f"{(rounded.argmax(1) != exact.argmax(1)).sum()} of {len(exact)} answers change"
)
net.inference_weights = "float32"

if len(sys.argv) > 1:
    net.save(sys.argv[1])
    again = martlet.load(sys.argv[1])
    assert (again(digits.test_x) == net(digits.test_x)).all()
    print(f"saved to {sys.argv[1]}")
