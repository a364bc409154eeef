"""Detection: Faster and Mask R-CNN and RetinaNet over a pretrained network, on sets in COCO's format."""
